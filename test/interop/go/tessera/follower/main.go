// follower reads a log with Tessera's client and follows it while it grows.
//
// For every head that it takes it prints one line of JSON: it has then proven that the log only grew, fetched all new
// entries, found each in the tiles under its own hash, and proven the inclusion of the last.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"net/url"
	"os"
	"time"

	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera/api"
	"github.com/transparency-dev/tessera/client"
	"golang.org/x/mod/sumdb/note"
)

var (
	address = flag.String("url", "", "the log's monitoring prefix")
	vkey    = flag.String("vkey", "", "the log's Ed25519 key")
	until   = flag.Uint64("until", 0, "follow the log until it has this size")
)

type head struct {
	Size     uint64 `json:"size"`
	RootHash []byte `json:"rootHash"`
	Entries  uint64 `json:"entries"` // All that were read so far.
}

func main() {
	flag.Parse()
	log.SetFlags(0)
	if err := follow(context.Background()); err != nil {
		log.Fatal(err)
	}
}

func follow(ctx context.Context) error {
	verifier, err := note.NewVerifier(*vkey)
	if err != nil {
		return err
	}
	root, err := url.Parse(*address)
	if err != nil {
		return err
	}
	fetcher, err := client.NewHTTPFetcher(root, nil)
	if err != nil {
		return err
	}
	consensus := client.UnilateralConsensus(fetcher.ReadCheckpoint)
	tracker, err := client.NewLogStateTracker(ctx, fetcher.ReadTile, nil, verifier, verifier.Name(), consensus)
	if err != nil {
		return err
	}
	for read, first := uint64(0), true; ; first = false {
		latest := tracker.Latest()
		if latest.Size > read || first {
			if err := readEntries(ctx, fetcher, read, latest.Size, latest.Hash); err != nil {
				return err
			}
			read = latest.Size
			json.NewEncoder(os.Stdout).Encode(head{Size: latest.Size, RootHash: latest.Hash, Entries: read})
		}
		if read >= *until {
			return nil
		}
		time.Sleep(20 * time.Millisecond)
		if _, _, _, err := tracker.Update(ctx); err != nil {
			return err
		}
	}
}

// readEntries reads the entries [from, size) and holds them against the tiles, and the last of them against the root.
func readEntries(ctx context.Context, fetcher *client.HTTPFetcher, from, size uint64, root []byte) error {
	if size == from {
		return nil
	}
	leaves, err := client.FetchLeafHashes(ctx, fetcher.ReadTile, from, size-from, size)
	if err != nil {
		return err
	}
	getSize := func(context.Context) (uint64, error) { return size, nil }
	bundles := client.EntryBundles(ctx, 4, getSize, fetcher.ReadEntryBundle, from, size-from)
	next := uint64(0)
	for entry, err := range client.Entries(bundles, entries) {
		if err != nil {
			return err
		}
		if string(rfc6962.DefaultHasher.HashLeaf(entry.Entry)) != string(leaves[next]) {
			return fmt.Errorf("entry %d is not what its tile says", from+next)
		}
		next++
	}
	if from+next != size {
		return fmt.Errorf("entries end at %d, before %d", from+next, size)
	}
	builder, err := client.NewProofBuilder(ctx, size, fetcher.ReadTile)
	if err != nil {
		return err
	}
	hashes, err := builder.InclusionProof(ctx, size-1)
	if err != nil {
		return err
	}
	return proof.VerifyInclusion(rfc6962.DefaultHasher, size-1, size, leaves[next-1], hashes, root)
}

func entries(bundle []byte) ([][]byte, error) {
	var parsed api.EntryBundle
	err := parsed.UnmarshalText(bundle)
	return parsed.Entries, err
}
