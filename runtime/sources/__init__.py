"""Where frames come from: pictures, video files and URLs, cameras. One contract, one file each."""
