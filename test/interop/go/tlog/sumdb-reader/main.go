// sumdb-reader reads a log with the packages of the Go checksum database (golang.org/x/mod/sumdb: note, tlog) over the
// paths of c2sp.org/tlog-tiles. It opens the checkpoint, holds every entry against the tiles, hashes the entries to the
// root, and proves some of them, and the growth of the tree, from the tiles.
//
// It prints what it found as one line of JSON.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
	"tallystick.invalid/interop/tlog/tiles"
)

var (
	url  = flag.String("url", "", "the log's monitoring prefix, without a slash at the end")
	vkey = flag.String("vkey", "", "the log's Ed25519 key")
	from = flag.Int64("from", 0, "a size that this log had before: prove that it only grew")
)

type report struct {
	Size       int64  `json:"size"`
	RootHash   string `json:"rootHash"`
	Verified   int    `json:"verified"`   // Signatures of the log's key.
	Unverified int    `json:"unverified"` // Signatures of others.
	Entries    int64  `json:"entries"`    // Of which each is in its tile, and all together hash to the root.
	Proven     int    `json:"proven"`     // Entries whose inclusion was proven and checked.
	Old        string `json:"oldRootHash,omitempty"`
}

func main() {
	flag.Parse()
	log.SetFlags(0)
	result, err := read()
	if err != nil {
		log.Fatal(err)
	}
	json.NewEncoder(os.Stdout).Encode(result)
}

func read() (*report, error) {
	verifier, err := note.NewVerifier(*vkey)
	if err != nil {
		return nil, err
	}
	source := tiles.Source{URL: *url}
	opened, tree, err := source.Checkpoint(verifier)
	if err != nil {
		return nil, err
	}
	hashes := source.Hashes(tree)
	result := &report{
		Size:       tree.N,
		RootHash:   tree.Hash.String(),
		Verified:   len(opened.Sigs),
		Unverified: len(opened.UnverifiedSigs),
	}
	if root, err := tlog.TreeHash(tree.N, hashes); err != nil || root != tree.Hash {
		return nil, fmt.Errorf("tiles give root %v (%v), the checkpoint says %v", root, err, tree.Hash)
	}
	if result.Entries, err = readEntries(source, tree, hashes); err != nil {
		return nil, err
	}
	if result.Proven, err = proveEntries(tree, hashes); err != nil {
		return nil, err
	}
	if *from > 0 {
		result.Old, err = proveGrowth(tree, hashes)
	}
	return result, err
}

// readEntries reads all entry bundles, holds every entry against its tile, and hashes them all to the root. The tile
// reader alone would not do: where hashes of the tree's right edge share a tile, it (x/mod v0.38.0) leaves as many full
// tiles without a comparison with their parents.
func readEntries(source tiles.Source, tree tlog.Tree, hashes tlog.HashReader) (int64, error) {
	var stored []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		found := make([]tlog.Hash, len(indexes))
		for at, index := range indexes {
			found[at] = stored[index]
		}
		return found, nil
	})
	for first := int64(0); first < tree.N; first += tiles.Width {
		entries, err := source.Bundle(first/tiles.Width, min(tiles.Width, tree.N-first))
		if err != nil {
			return 0, err
		}
		indexes := make([]int64, len(entries))
		for at := range entries {
			indexes[at] = tlog.StoredHashIndex(0, first+int64(at))
		}
		leaves, err := hashes.ReadHashes(indexes)
		if err != nil {
			return 0, err
		}
		for at, entry := range entries {
			if tlog.RecordHash(entry) != leaves[at] {
				return 0, fmt.Errorf("entry %d is not what its tile says", first+int64(at))
			}
			more, err := tlog.StoredHashes(first+int64(at), entry, reader)
			if err != nil {
				return 0, err
			}
			stored = append(stored, more...)
		}
	}
	root, err := tlog.TreeHash(tree.N, reader)
	if err == nil && root != tree.Hash {
		err = fmt.Errorf("the entries hash to %v, the checkpoint says %v", root, tree.Hash)
	}
	return tree.N, err
}

// proveEntries proves the first, the last and some entries between, and checks each proof.
func proveEntries(tree tlog.Tree, hashes tlog.HashReader) (int, error) {
	proven := 0
	for index := int64(0); index < tree.N; index = nextIndex(index, tree.N) {
		leaf, err := hashes.ReadHashes([]int64{tlog.StoredHashIndex(0, index)})
		if err != nil {
			return 0, err
		}
		proof, err := tlog.ProveRecord(tree.N, index, hashes)
		if err != nil {
			return 0, err
		}
		if err := tlog.CheckRecord(proof, tree.N, tree.Hash, index, leaf[0]); err != nil {
			return 0, err
		}
		proven++
	}
	return proven, nil
}

// nextIndex goes through 0, 1, 2, 4, 7, 11, 17, … and ends with the last index.
func nextIndex(index, size int64) int64 {
	next := index + index/2 + 1
	if index < size-1 {
		return min(next, size-1)
	}
	return size
}

func proveGrowth(tree tlog.Tree, hashes tlog.HashReader) (string, error) {
	old, err := tlog.TreeHash(*from, hashes)
	if err != nil {
		return "", err
	}
	proof, err := tlog.ProveTree(tree.N, *from, hashes)
	if err != nil {
		return "", err
	}
	return old.String(), tlog.CheckTree(proof, tree.N, tree.Hash, *from, old)
}
