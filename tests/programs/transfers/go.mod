module example.com/bank/transfers

go 1.19
