// Posix serves a Tessera log on a POSIX file system whose batches close after a time of our choosing: the conformance
// server of Tessera, which the benchmark runs too, waits a second for each. As there, the body of a POST to /add is an
// entry, and the answer, once the entry is durable, its index.
package main

import (
	"context"
	"crypto/rand"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"time"

	"github.com/transparency-dev/tessera"
	"github.com/transparency-dev/tessera/storage/posix"
	"golang.org/x/mod/sumdb/note"
)

func main() {
	folder := flag.String("folder", "", "where the log is kept")
	batchAge := flag.Duration("batch-age", 5*time.Millisecond, "how long a batch waits for more entries")
	flag.Parse()

	ctx := context.Background()
	add, err := openLog(ctx, *folder, *batchAge)
	if err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("http://%s\n", listener.Addr())
	http.HandleFunc("POST /add", func(w http.ResponseWriter, r *http.Request) { serveAdd(add, w, r) })
	log.Fatal(http.Serve(listener, nil))
}

func openLog(ctx context.Context, folder string, batchAge time.Duration) (tessera.AddFn, error) {
	secret, _, err := note.GenerateKey(rand.Reader, "bench.localhost/posix")
	if err != nil {
		return nil, err
	}
	signer, err := note.NewSigner(secret)
	if err != nil {
		return nil, err
	}
	driver, err := posix.New(ctx, posix.Config{Path: folder})
	if err != nil {
		return nil, err
	}
	appender, _, _, err := tessera.NewAppender(ctx, driver, tessera.NewAppendOptions().
		WithCheckpointSigner(signer).
		WithCheckpointInterval(time.Second).
		WithBatching(tessera.DefaultBatchMaxSize, batchAge).
		WithAntispam(tessera.DefaultAntispamInMemorySize, nil))
	if err != nil {
		return nil, err
	}
	return appender.Add, nil
}

func serveAdd(add tessera.AddFn, w http.ResponseWriter, r *http.Request) {
	entry, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	index, err := add(r.Context(), tessera.NewEntry(entry))()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	fmt.Fprint(w, index.Index)
}
