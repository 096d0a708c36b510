module goproc-target

go 1.19
