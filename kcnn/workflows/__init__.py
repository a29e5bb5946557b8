"""What each verb does, as one public function that returns and never prints."""
