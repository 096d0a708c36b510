module example.com/unprofiled

go 1.19
