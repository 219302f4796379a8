"""Where frames go: video files, pictures, stdout, a window, nowhere. One contract, one file each."""
