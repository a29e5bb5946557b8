"""What a network looked at: methods that return a map over the image, and measures of such maps.

A method is a function `method(network, images, classes) -> maps`: `network` is a `TakenApart`, `images` float32
(B, H, W, C) with pixels 0..255, `classes` int (B,), and `maps` float32 (B, H, W), larger where the image speaks more
for the class. What is explained is the logit, the number before the softmax, as is usual: a probability also moves
with what speaks for other classes, and not at all where it is near 1.
"""
