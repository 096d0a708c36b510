// Answers every request with quotes, 1.6 kB of JSON from Go's heap. A library in C signs each answer and keeps the last few
// thousand signatures: two calls of malloc and two of free for a request. The memory of both is steady.
package main

/*
#include <stdlib.h>
#include <string.h>

enum { SIGNATURES_KEPT = 4096, SIGNATURE_BYTES = 256 };

static char *signatures[SIGNATURES_KEPT];

static unsigned sign(const char *text, unsigned number)
{
    char *signature = malloc(SIGNATURE_BYTES);
    unsigned sum = number;
    for (const char *byte = text; *byte; byte++)
        sum = sum * 31 + (unsigned char)*byte;
    memset(signature, (int)(sum & 0xff), SIGNATURE_BYTES);
    free(signatures[number % SIGNATURES_KEPT]);
    signatures[number % SIGNATURES_KEPT] = signature;
    return sum;
}
*/
import "C"

import (
	"encoding/json"
	"fmt"
	"log"
	"net"
	"net/http"
	"runtime"
	"strconv"
	"sync"
	"unsafe"
)

const (
	quotesPerAnswer = 24
	answersKept     = 4096
)

type quote struct {
	Symbol   string  `json:"symbol"`
	Exchange string  `json:"exchange"`
	Bid      float64 `json:"bid"`
	Ask      float64 `json:"ask"`
}

// desk signs one answer at a time: the library's table has no lock.
type desk struct {
	mutex   sync.Mutex
	number  int
	answers [answersKept][]byte
}

// Profiling is linked in, so that the heap can be read from outside.
func init() { runtime.MemProfile(nil, false) }

func (d *desk) ServeHTTP(writer http.ResponseWriter, request *http.Request) {
	d.mutex.Lock()
	d.number++
	number := d.number
	d.mutex.Unlock()
	quotes := make([]quote, quotesPerAnswer)
	for index := range quotes {
		bid := float64(number%1000) + float64(index)/16
		quotes[index] = quote{fmt.Sprintf("SYM%d.%d", number, index), "exchange " + strconv.Itoa(index), bid, bid + 0.25}
	}
	body, err := json.Marshal(quotes)
	if err != nil {
		http.Error(writer, err.Error(), http.StatusInternalServerError)
		return
	}
	writer.Header().Set("Content-Type", "application/json")
	writer.Header().Set("Signature", strconv.FormatUint(uint64(d.keep(number, body)), 16))
	writer.Write(body)
}

func (d *desk) keep(number int, body []byte) uint32 {
	text := C.CString(string(body))
	defer C.free(unsafe.Pointer(text))
	d.mutex.Lock()
	defer d.mutex.Unlock()
	d.answers[number%answersKept] = body
	return uint32(C.sign(text, C.unsigned(number)))
}

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("ready", listener.Addr())
	log.Fatal(http.Serve(listener, &desk{}))
}
