module example.com/goproc-target

go 1.19
