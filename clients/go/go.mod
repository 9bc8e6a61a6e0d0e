module contract

go 1.23
