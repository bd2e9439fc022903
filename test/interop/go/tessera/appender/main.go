// appender keeps a log in a folder by Tessera's POSIX storage, and serves it.
//
// It reads entries from standard input, one a line in base64. At an empty line it waits until all of them are in a
// published checkpoint, which it prints as one line of JSON. With a policy it asks the witnesses in it, and publishes
// nothing that lacks their quorum. The first line that it prints is its address; it ends when the input does.
package main

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"time"

	f_note "github.com/transparency-dev/formats/note"
	"github.com/transparency-dev/tessera"
	"github.com/transparency-dev/tessera/storage/posix"
	"golang.org/x/mod/sumdb/note"
)

var (
	folder = flag.String("folder", "", "where the log is, or is to be")
	policy = flag.String("policy", "", "a file with the witnesses to ask and their quorum")
)

func main() {
	flag.Parse()
	log.SetFlags(0)
	if err := run(context.Background()); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	signer, err := note.NewSigner(os.Getenv("LOG_PRIVATE_KEY"))
	if err != nil {
		return err
	}
	driver, err := posix.New(ctx, posix.Config{Path: *folder})
	if err != nil {
		return err
	}
	options := tessera.NewAppendOptions().
		WithCheckpointSigner(signer).
		WithCheckpointInterval(200*time.Millisecond).
		WithBatching(256, 50*time.Millisecond)
	verifiers := []note.Verifier{}
	if *policy != "" {
		group, err := readPolicy(*policy)
		if err != nil {
			return err
		}
		options = options.WithWitnesses(group, nil)
		for _, verifier := range group.Endpoints() {
			verifiers = append(verifiers, verifier)
		}
	}
	appender, shutdown, reader, err := tessera.NewAppender(ctx, driver, options)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go http.Serve(listener, http.FileServer(http.Dir(*folder)))
	fmt.Printf("http://%s\n", listener.Addr())
	awaiter := tessera.NewPublicationAwaiter(ctx, reader.ReadCheckpoint, 20*time.Millisecond)
	if err := appendAll(ctx, appender, awaiter, verifiers); err != nil {
		return err
	}
	return shutdown(ctx)
}

func readPolicy(path string) (tessera.WitnessGroup, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return tessera.WitnessGroup{}, err
	}
	return tessera.NewWitnessGroupFromPolicy(text)
}

func appendAll(ctx context.Context, appender *tessera.Appender, awaiter *tessera.PublicationAwaiter, witnesses []note.Verifier) error {
	var added []tessera.IndexFuture
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		if lines.Text() != "" {
			entry, err := base64.StdEncoding.DecodeString(lines.Text())
			if err != nil {
				return err
			}
			added = append(added, appender.Add(ctx, tessera.NewEntry(entry)))
			continue
		}
		if err := publish(ctx, awaiter, added, witnesses); err != nil {
			return err
		}
		added = nil
	}
	return nil
}

type published struct {
	First      uint64   `json:"first"` // The index of the first entry that was added.
	Checkpoint string   `json:"checkpoint"`
	Cosigners  []string `json:"cosigners"` // Names of the witnesses whose cosignatures verify.
}

func publish(ctx context.Context, awaiter *tessera.PublicationAwaiter, added []tessera.IndexFuture, witnesses []note.Verifier) error {
	first, err := added[0]()
	if err != nil {
		return err
	}
	last, checkpoint, err := awaiter.Await(ctx, added[len(added)-1])
	if err != nil {
		return err
	}
	if last.Index != first.Index+uint64(len(added))-1 {
		return fmt.Errorf("%d entries are at %d to %d", len(added), first.Index, last.Index)
	}
	result := published{First: first.Index, Checkpoint: string(checkpoint), Cosigners: []string{}}
	if len(witnesses) > 0 {
		opened, err := note.Open(checkpoint, note.VerifierList(witnesses...))
		if err != nil {
			return err
		}
		for _, signature := range opened.Sigs {
			if _, err := f_note.CoSigV1Timestamp(signature); err != nil {
				return err
			}
			result.Cosigners = append(result.Cosigners, signature.Name)
		}
	}
	return json.NewEncoder(os.Stdout).Encode(result)
}
