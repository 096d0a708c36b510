module symbols

go 1.18
