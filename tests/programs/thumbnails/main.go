// Thumbnails fills a bounded cache slower and slower, then stays flat: a warm-up, not a leak.
package main

import (
	"container/list"
	"flag"
	"fmt"
	"log"
	"math"
	"math/rand"
	"net"
	"net/http"
	_ "net/http/pprof"
	"time"
)

type thumbnail struct {
	picture int
	pixels  []byte
}

// lru is the textbook cache: bounded, oldest out first.
type lru struct {
	order   *list.List
	entries map[int]*list.Element
	max     int
}

func (c *lru) get(picture, bytes int) *thumbnail {
	if element, ok := c.entries[picture]; ok {
		c.order.MoveToFront(element)
		return element.Value.(*thumbnail)
	}
	t := &thumbnail{picture: picture, pixels: make([]byte, bytes)}
	for i := range t.pixels {
		t.pixels[i] = byte(i * picture)
	}
	c.entries[picture] = c.order.PushFront(t)
	if c.order.Len() > c.max {
		oldest := c.order.Remove(c.order.Back()).(*thumbnail)
		delete(c.entries, oldest.picture)
	}
	return t
}

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "address of net/http/pprof")
	max := flag.Int("entries", 2500, "bound of the cache, in entries of 16 KiB")
	warm := flag.Duration("warm-up", 20*time.Second, "time in which two thirds of the cache fill")
	flag.Parse()
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("listening", listener.Addr())
	go func() { log.Fatal(http.Serve(listener, nil)) }()

	cache := &lru{order: list.New(), entries: map[int]*list.Element{}, max: *max}
	random := rand.New(rand.NewSource(7))
	// Requests hit random pictures of a fixed set: the more is cached, the fewer miss, hence 1-exp(-t/warm).
	const tick = 10 * time.Millisecond
	perTick := float64(*max) * tick.Seconds() / warm.Seconds()
	due := 0.0
	for range time.Tick(tick) {
		for due += perTick; due >= 1; due-- {
			resize(cache.get(random.Intn(*max), 16<<10))
		}
		due = math.Mod(due, 1)
	}
}

// resize makes garbage.
//
//go:noinline
func resize(t *thumbnail) []byte {
	small := make([]byte, len(t.pixels)*4)
	copy(small, t.pixels)
	return small
}
