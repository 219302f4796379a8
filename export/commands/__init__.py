"""The commands of ``granet-export``, a file each."""
