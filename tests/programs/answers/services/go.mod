module example.com/shop/services

go 1.24

require (
	github.com/acme/history v1.2.3
	github.com/acme/watch v1.0.0
)
