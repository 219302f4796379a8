"""What ``granet-export`` measures and prints."""
