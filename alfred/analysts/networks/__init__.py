"""What analysts share that train one network of torch on standardised windows."""
