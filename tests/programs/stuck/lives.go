package main

import (
	"context"
	"log"
	"net"
	"runtime"
	"sync"
	"time"
)

// Twins of the leaks: blocked as long, and somebody can wake each of them. Whoever waits has a frame whose name begins with `live`.

const long = 24 * time.Hour

var (
	queue    = make(chan int)
	cancels  []context.CancelFunc
	sessions sync.Map
	owned    []*owner
	inbox    = make(chan chan int, 4096)
	calls    []func()
	nobody   = make(chan int)
)

type owner struct{ name string }

//go:noinline
func liveReceive(c chan int) { <-c }

//go:noinline
func liveSend(c chan int) { c <- 1 }

//go:noinline
func liveGroup(g *guarded) { g.wg.Wait() }

//go:noinline
func liveLock(g *guarded) { g.mu.Lock() }

//go:noinline
func liveReadWrite(g *guarded) { g.rw.Lock() }

//go:noinline
func liveCond(g *guarded) { g.mu.Lock(); g.cond.Wait() }

//go:noinline
func liveContext(ctx context.Context) { <-ctx.Done() }

//go:noinline
func liveTicker(t *time.Ticker) { <-t.C }

//go:noinline
func liveAfter() {
	select {
	case <-time.After(long):
	case <-make(chan int):
	}
}

//go:noinline
func liveLink(mine, next chan int) { <-mine; close(next) }

//go:noinline
func liveAccept(l net.Listener) {
	if _, err := l.Accept(); err != nil {
		log.Fatal(err)
	}
}

// Sleeps with what wakes the other on its stack.
//
//go:noinline
func liveSleeper(wake func()) { time.Sleep(long); wake() }

//go:noinline
func livePool(c chan int, workers int) {
	for i := 0; i < workers; i++ {
		go liveReceive(c)
	}
	time.Sleep(long)
	c <- 1
}

var lives = []func(){
	func() { go liveReceive(queue) },
	func() { go livePool(make(chan int), 2) },
	func() {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			log.Fatal(err)
		}
		go liveAccept(l)
	},
	func() { go liveTicker(time.NewTicker(long)) },
	func() { go liveAfter() },
	func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancels = append(cancels, cancel)
		go liveContext(ctx)
	},
	func() {
		ctx, cancel := context.WithTimeout(context.Background(), long)
		_ = cancel
		go liveContext(ctx)
	},
	func() { c := make(chan int); go liveReceive(c); go liveSleeper(func() { c <- 1 }) },
	func() { c := make(chan int); go liveSend(c); go liveSleeper(func() { <-c }) },
	func() { g := newGuarded(); g.wg.Add(1); go liveGroup(g); go liveSleeper(g.wg.Done) },
	func() { g := newGuarded(); g.mu.Lock(); go liveLock(g); go liveSleeper(g.mu.Unlock) },
	func() { g := newGuarded(); g.rw.RLock(); go liveReadWrite(g); go liveSleeper(g.rw.RUnlock) },
	func() { g := newGuarded(); go liveCond(g); go liveSleeper(g.cond.Broadcast) },
	func() {
		a, b, c := make(chan int), make(chan int), make(chan int)
		go liveLink(a, b)
		go liveLink(b, c)
		go liveReceive(c)
		go liveSleeper(func() { close(a) })
	},
	func() { c := make(chan int); time.AfterFunc(long, func() { close(c) }); go liveReceive(c) },
	func() { go liveReceive(nobody) },
	func() { c := make(chan int); sessions.Store(len(owned), c); go liveReceive(c) },
	func() {
		c := make(chan int)
		o := &owner{"owner"}
		runtime.SetFinalizer(o, func(*owner) { close(c) })
		owned = append(owned, o)
		go liveReceive(c)
	},
	func() { c := make(chan int); inbox <- c; go liveReceive(c) },
	func() { c := make(chan int); calls = append(calls, func() { c <- 1 }); go liveReceive(c) },
}
