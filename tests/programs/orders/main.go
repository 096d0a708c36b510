// Orders has two leaks in different functions, one three times as fast as the other.
package main

import (
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	_ "net/http/pprof"
	"time"
)

var (
	receipts [][]byte
	carts    = map[int]*cart{}
)

type cart struct{ lines []byte }

// archiveReceipt is the faster leak: three quarters of all growth.
func archiveReceipt(order, size int) {
	receipt := make([]byte, size) // truth: leak
	for i := range receipt {
		receipt[i] = byte(order)
	}
	receipts = append(receipts, receipt)
}

// rememberCart is the slower leak: one quarter.
func rememberCart(order, size int) {
	c := &cart{lines: make([]byte, size)} // truth: second leak
	for i := range c.lines {
		c.lines[i] = byte(order)
	}
	carts[order] = c
}

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "address of net/http/pprof")
	rate := flag.Int("rate", 1<<20, "leaked bytes per second")
	flag.Parse()
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("listening", listener.Addr())
	go func() { log.Fatal(http.Serve(listener, nil)) }()

	order := 0
	start := time.Now()
	for range time.Tick(20 * time.Millisecond) {
		for due := int(time.Since(start).Seconds() * float64(*rate) / 8192); order < due; order++ {
			archiveReceipt(order, 6144)
			rememberCart(order, 2048)
			price(order)
		}
	}
}

// price makes garbage.
//
//go:noinline
func price(order int) []byte {
	quote := make([]byte, 32<<10)
	quote[order%len(quote)] = 1
	return quote
}
