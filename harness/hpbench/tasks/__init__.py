"""What is optimised: data sets, network families and the training that joins them."""
