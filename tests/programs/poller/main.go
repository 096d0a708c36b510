// Poller starts a goroutine per request that waits for an update nobody sends, with a timeout of a day.
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

type update struct{ version int }

// waitForUpdate is started per client and hardly ever returns.
func waitForUpdate(updates <-chan update, client int) int {
	var seen [256]uint64 // on the stack
	for i := range seen {
		seen[i] = uint64(client + i)
	}
	select { // truth: leak
	case u := <-updates:
		return u.version + int(seen[u.version%len(seen)])
	case <-time.After(24 * time.Hour):
		return int(seen[0])
	}
}

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "address of net/http/pprof")
	perSecond := flag.Int("rate", 200, "leaked goroutines per second")
	flag.Parse()
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("listening", listener.Addr())
	go func() { log.Fatal(http.Serve(listener, nil)) }()

	client := 0
	start := time.Now()
	for range time.Tick(20 * time.Millisecond) {
		for due := int(time.Since(start).Seconds() * float64(*perSecond)); client < due; client++ {
			go waitForUpdate(make(chan update), client)
			answer(client)
		}
	}
}

// answer makes garbage.
//
//go:noinline
func answer(client int) []byte {
	body := make([]byte, 32<<10)
	body[client%len(body)] = 1
	return body
}
