// witness runs the witness of transparency-dev, which its operators put into the public witness network.
//
// It signs with the keys in the environment variable WITNESS_KEYS, separated by spaces, and keeps its state in memory.
// The line that it prints is its address. Every line of its standard input is the verifier key of a log, which it takes
// from then on; it ends when the input does.
package main

import (
	"bufio"
	"context"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"

	f_note "github.com/transparency-dev/formats/note"
	"github.com/transparency-dev/witness/persistence/inmemory"
	"github.com/transparency-dev/witness/witness"
	"golang.org/x/mod/sumdb/note"
)

func main() {
	log.SetFlags(0)
	if err := run(context.Background()); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	var signers []note.Signer
	for _, key := range strings.Fields(os.Getenv("WITNESS_KEYS")) {
		signer, err := f_note.NewSignerForCosignatureV1(key)
		if err != nil {
			return err
		}
		signers = append(signers, signer)
	}
	var logs sync.Map // From origins to verifiers.
	w, err := witness.New(ctx, witness.Opts{
		Persistence: inmemory.New(),
		Signers:     signers,
		VerifierForLog: func(_ context.Context, origin string) (note.Verifier, bool, error) {
			found, ok := logs.Load(origin)
			if !ok {
				return nil, false, nil
			}
			return found.(note.Verifier), true, nil
		},
	})
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /add-checkpoint", witness.NewHTTPHandler(w).AddCheckpoint)
	go http.Serve(listener, mux)
	fmt.Printf("http://%s\n", listener.Addr())
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		verifier, err := note.NewVerifier(lines.Text())
		if err != nil {
			return err
		}
		logs.Store(verifier.Name(), verifier)
	}
	return nil
}
