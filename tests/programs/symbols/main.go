// Symbols answers what its own runtime knows about addresses of its code: one line of function, file and line for each
// line of input, which is the distance of an address from main.main.
package main

import (
	"bufio"
	"fmt"
	"log"
	"os"
	"reflect"
	"runtime"
	"strconv"
)

func main() {
	base := int64(reflect.ValueOf(main).Pointer())
	in := bufio.NewScanner(os.Stdin)
	out := bufio.NewWriter(os.Stdout)
	for in.Scan() {
		distance, err := strconv.ParseInt(in.Text(), 10, 64)
		if err != nil {
			log.Fatal(err)
		}
		// The runtime takes return addresses.
		frame, _ := runtime.CallersFrames([]uintptr{uintptr(base+distance) + 1}).Next()
		fmt.Fprintf(out, "%s\t%s\t%d\n", frame.Function, frame.File, frame.Line)
	}
	if err := out.Flush(); err != nil {
		log.Fatal(err)
	}
}
