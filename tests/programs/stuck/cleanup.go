//go:build go1.24

package main

import (
	"runtime"
	"weak"
)

var weakly []weak.Pointer[referred]

type referred struct {
	name string
	c    chan int
}

//go:noinline
func liveWeak(o *referred) { <-o.c; runtime.KeepAlive(o) }

func init() {
	lives = append(lives, func() {
		c := make(chan int)
		o := &owner{"cleaned"}
		runtime.AddCleanup(o, func(c chan int) { close(c) }, c)
		owned = append(owned, o)
		go liveReceive(c)
	}, func() {
		r := &referred{"weakly", make(chan int)}
		weakly = append(weakly, weak.Make(r))
		go liveWeak(r)
	})
}
