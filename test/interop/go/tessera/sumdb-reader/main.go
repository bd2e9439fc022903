// sumdb-reader reads a log with the packages of the Go checksum database (golang.org/x/mod/sumdb: note, tlog) over the
// paths of c2sp.org/tlog-tiles. It opens the checkpoint, holds every entry against the tiles, hashes the entries to the
// root, and proves some of them, and the growth of the tree, from the tiles.
//
// It prints what it found as one line of JSON.
package main

import (
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const height = 8

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
	opened, tree, err := readCheckpoint()
	if err != nil {
		return nil, err
	}
	hashes := tlog.TileHashReader(tree, &tiles{saved: map[tlog.Tile][]byte{}})
	result := &report{
		Size:       tree.N,
		RootHash:   tree.Hash.String(),
		Verified:   len(opened.Sigs),
		Unverified: len(opened.UnverifiedSigs),
	}
	if root, err := tlog.TreeHash(tree.N, hashes); err != nil || root != tree.Hash {
		return nil, fmt.Errorf("tiles give root %v (%v), the checkpoint says %v", root, err, tree.Hash)
	}
	if result.Entries, err = readEntries(tree, hashes); err != nil {
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

func readCheckpoint() (*note.Note, tlog.Tree, error) {
	verifier, err := note.NewVerifier(*vkey)
	if err != nil {
		return nil, tlog.Tree{}, err
	}
	text, err := get("/checkpoint")
	if err != nil {
		return nil, tlog.Tree{}, err
	}
	opened, err := note.Open(text, note.VerifierList(verifier))
	if err != nil {
		return nil, tlog.Tree{}, err
	}
	lines := strings.SplitN(opened.Text, "\n", 4)
	if len(lines) != 4 || lines[0] != verifier.Name() {
		return nil, tlog.Tree{}, fmt.Errorf("no checkpoint of %s: %q", verifier.Name(), opened.Text)
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return nil, tlog.Tree{}, err
	}
	root, err := tlog.ParseHash(lines[2])
	return opened, tlog.Tree{N: size, Hash: root}, err
}

// readEntries reads all entry bundles, holds every entry against its tile, and hashes them all to the root. The tile
// reader alone would not do: where hashes of the tree's right edge share a tile, it (x/mod v0.38.0) leaves as many full
// tiles without a comparison with their parents.
func readEntries(tree tlog.Tree, hashes tlog.HashReader) (int64, error) {
	var stored []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		found := make([]tlog.Hash, len(indexes))
		for at, index := range indexes {
			found[at] = stored[index]
		}
		return found, nil
	})
	width := int64(1) << height
	for first := int64(0); first < tree.N; first += width {
		entries, err := readBundle(first/width, min(width, tree.N-first))
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

// readBundle reads the entries of a bundle: each is a length in two bytes and as many bytes.
func readBundle(index, count int64) ([][]byte, error) {
	bundle, err := get("/tile/entries/" + suffix(tlog.Tile{H: height, N: index, W: int(count)}))
	if err != nil {
		return nil, err
	}
	var entries [][]byte
	for range count {
		if len(bundle) < 2 || len(bundle) < 2+int(binary.BigEndian.Uint16(bundle)) {
			return nil, fmt.Errorf("bundle %d ends after %d of %d entries", index, len(entries), count)
		}
		end := 2 + int(binary.BigEndian.Uint16(bundle))
		entries = append(entries, bundle[2:end])
		bundle = bundle[end:]
	}
	if len(bundle) > 0 {
		return nil, fmt.Errorf("bundle %d has %d bytes too many", index, len(bundle))
	}
	return entries, nil
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

// tiles is a tlog.TileReader over HTTP.
type tiles struct {
	saved map[tlog.Tile][]byte
}

func (*tiles) Height() int { return height }

func (t *tiles) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	data := make([][]byte, len(wanted))
	for at, tile := range wanted {
		if data[at] = t.saved[tile]; data[at] != nil {
			continue
		}
		bytes, err := get(fmt.Sprintf("/tile/%d/%s", tile.L, suffix(tile)))
		if err != nil {
			return nil, err
		}
		data[at] = bytes
	}
	return data, nil
}

// SaveTiles keeps tiles for the next calls.
func (t *tiles) SaveTiles(verified []tlog.Tile, data [][]byte) {
	for at, tile := range verified {
		t.saved[tile] = data[at]
	}
}

// suffix is what a path says of index and width. x/mod puts the height and the level before it, tlog-tiles the level.
func suffix(tile tlog.Tile) string {
	tile.L = 0
	return strings.TrimPrefix(tile.Path(), fmt.Sprintf("tile/%d/0/", tile.H))
}

func get(path string) ([]byte, error) {
	response, err := http.Get(*url + path)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", path, response.Status, body)
	}
	return body, err
}
