"""What a user would write instead of installing this: two usual pipelines, a file each, timed beside ours."""
