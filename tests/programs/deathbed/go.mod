module example.com/deathbed

go 1.19
