module example.com/thumbnails

go 1.19
