// Compact hashes leaves and appends them to a compact range on one core, over and over, and prints how many a second of CPU time.
package main

import (
	"crypto/rand"
	"flag"
	"fmt"
	"log"
	"runtime"
	"syscall"
	"time"

	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/rfc6962"
)

func main() {
	leafBytes := flag.Int("leaf-bytes", 180, "length of a leaf")
	count := flag.Int("leaves", 65536, "leaves of a tree")
	seconds := flag.Float64("seconds", 5, "for so long")
	flag.Parse()
	runtime.GOMAXPROCS(1)

	leaves := make([]byte, *leafBytes**count)
	if _, err := rand.Read(leaves); err != nil {
		log.Fatal(err)
	}
	build(leaves, *leafBytes)
	done, began, cpuBegan := 0, time.Now(), cpuSeconds()
	for time.Since(began).Seconds() < *seconds {
		build(leaves, *leafBytes)
		done += *count
	}
	fmt.Printf("%.0f\n", float64(done)/(cpuSeconds()-cpuBegan))
}

func cpuSeconds() float64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		log.Fatal(err)
	}
	seconds := func(t syscall.Timeval) float64 { return float64(t.Sec) + float64(t.Usec)/1e6 }
	return seconds(usage.Utime) + seconds(usage.Stime)
}

func build(leaves []byte, leafBytes int) []byte {
	factory := compact.RangeFactory{Hash: rfc6962.DefaultHasher.HashChildren}
	tree := factory.NewEmptyRange(0)
	for at := 0; at < len(leaves); at += leafBytes {
		if err := tree.Append(rfc6962.DefaultHasher.HashLeaf(leaves[at:at+leafBytes]), nil); err != nil {
			log.Fatal(err)
		}
	}
	root, err := tree.GetRootHash(nil)
	if err != nil {
		log.Fatal(err)
	}
	return root
}
