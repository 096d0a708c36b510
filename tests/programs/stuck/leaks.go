package main

import (
	"context"
	"sync"
	"time"
)

// Kernels of goroutines that nobody can ever wake: each function starts one of its kind, or two that wait for each other, and forgets it.
// Whoever waits has a frame whose name begins with `leak`. What they share is larger than what the allocator puts together with others.

type guarded struct {
	name string
	mu   sync.Mutex
	rw   sync.RWMutex
	wg   sync.WaitGroup
	cond *sync.Cond
}

func newGuarded() *guarded {
	g := &guarded{name: "guarded"}
	g.cond = sync.NewCond(&g.mu)
	return g
}

//go:noinline
func leakSend(c chan int) { c <- 1 }

//go:noinline
func leakReceive(c chan int) { <-c }

//go:noinline
func leakRange(c chan int) {
	for v := range c {
		sink.Store(int64(v))
	}
}

//go:noinline
func leakNil(c chan int) { <-c }

//go:noinline
func leakEmpty() { select {} }

//go:noinline
func leakSelect(a, b chan int) {
	select {
	case <-a:
	case b <- 1:
	}
}

//go:noinline
func leakGroup(g *guarded) { g.wg.Wait() }

//go:noinline
func leakLock(g *guarded) { g.mu.Lock(); g.mu.Lock() }

//go:noinline
func leakReadWrite(g *guarded) { g.rw.RLock(); g.rw.Lock() }

//go:noinline
func leakCond(g *guarded) { g.mu.Lock(); g.cond.Wait() }

//go:noinline
func leakContext(ctx context.Context) { <-ctx.Done() }

//go:noinline
func leakTicker(t *time.Ticker) { <-t.C }

//go:noinline
func leakMutual(mine, other chan int) { <-mine; other <- 1 }

type service struct {
	requests chan int
	answers  chan int
}

//go:noinline
func (s *service) leakServe() {
	for r := range s.requests {
		s.answers <- r
	}
}

type leak struct {
	name  string
	count int
	start func()
}

var leaks = []leak{
	{"leakSend", 1, func() { go leakSend(make(chan int)) }},
	{"leakReceive", 1, func() { go leakReceive(make(chan int, 3)) }},
	{"leakRange", 1, func() { go leakRange(make(chan int)) }},
	{"leakNil", 1, func() { go leakNil(nil) }},
	{"leakEmpty", 1, func() { go leakEmpty() }},
	{"leakSelect", 1, func() { go leakSelect(make(chan int), make(chan int)) }},
	{"leakGroup", 1, func() { g := newGuarded(); g.wg.Add(1); go leakGroup(g) }},
	{"leakLock", 1, func() { go leakLock(newGuarded()) }},
	{"leakReadWrite", 1, func() { go leakReadWrite(newGuarded()) }},
	{"leakCond", 3, func() {
		g := newGuarded()
		for i := 0; i < 3; i++ {
			go leakCond(g)
		}
	}},
	{"leakContext", 1, func() {
		ctx, cancel := context.WithCancel(context.Background())
		_ = cancel
		go leakContext(ctx)
	}},
	{"leakTicker", 1, func() { t := time.NewTicker(time.Hour); t.Stop(); go leakTicker(t) }},
	{"leakMutual", 2, func() {
		a, b := make(chan int), make(chan int)
		go leakMutual(a, b)
		go leakMutual(b, a)
	}},
	{"leakServe", 1, func() { go (&service{make(chan int), make(chan int)}).leakServe() }},
}
