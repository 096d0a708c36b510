// Checkout leaks in a package of its own module, not in main, through a function of the standard library.
package main

import (
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	_ "net/http/pprof"
	"time"

	"example.com/shop/checkout/session"
)

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

	store := session.NewStore()
	id := 0
	start := time.Now()
	for range time.Tick(20 * time.Millisecond) {
		for due := int(time.Since(start).Seconds() * float64(*rate) / 4096); id < due; id++ {
			serve(store, id)
		}
	}
}

// serve is one request; all but the session is garbage afterwards.
func serve(store *session.Store, id int) {
	state := make([]byte, 1024)
	for i := range state {
		state[i] = byte(id + i)
	}
	store.Put(id, state)
	render(state)
}

// render makes garbage.
//
//go:noinline
func render(state []byte) []byte {
	page := make([]byte, 48<<10)
	copy(page, state)
	return page
}
