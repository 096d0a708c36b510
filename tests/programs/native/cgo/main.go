// Sessions are remembered in C and never freed: about 2 MB a second, beside some garbage of Go.
package main

// #include "session.h"
// #include <stdlib.h>
import "C"

import (
	"fmt"
	"time"
	"unsafe"
)

var last []byte

//go:noinline
func login(number int) {
	last = make([]byte, 4000)
	name := C.CString(fmt.Sprint("session ", number))
	C.session_start()
	C.remember(name)
	C.free(unsafe.Pointer(name))
}

func main() {
	for number := 0; ; number++ {
		login(number)
		time.Sleep(1500 * time.Microsecond)
	}
}
