package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera/api/layout"
	"golang.org/x/mod/sumdb/tlog"
)

// inclusion verifies a proof: index, size (decimal), leaf hash, root hash, hashes.
func inclusion(fields [][]byte) []opinion {
	index, size, hashes := number(fields[0]), number(fields[1]), fields[4:]
	merkle := verdict(proof.VerifyInclusion(rfc6962.DefaultHasher, index, size, fields[2], hashes, fields[3]))
	return []opinion{{"merkle", merkle}, {"x/mod", recordVerdict(index, size, fields[2], fields[3], hashes)}}
}

// consistency verifies a proof: older size, newer size (decimal), older root hash, newer root hash, hashes.
func consistency(fields [][]byte) []opinion {
	from, to, hashes := number(fields[0]), number(fields[1]), fields[4:]
	merkle := verdict(proof.VerifyConsistency(rfc6962.DefaultHasher, from, to, hashes, fields[2], fields[3]))
	return []opinion{{"merkle", merkle}, {"x/mod", treesVerdict(from, to, fields[2], fields[3], hashes)}}
}

// number reads a u64 that the asker wrote.
func number(field []byte) uint64 {
	n, err := strconv.ParseUint(string(field), 10, 64)
	if err != nil {
		panic(err)
	}
	return n
}

func verdict(err error) string {
	if err != nil {
		return refused
	}
	return "ok"
}

// x/mod's search for the largest power of two below a size does not end where the size is above 2^62, so it is not asked
// about such. What its types cannot hold, a hash of another length, is refused by whoever converts it.
const sumdbSizeMax = 1 << 62

func recordVerdict(index, size uint64, leaf, root []byte, hashes [][]byte) string {
	all, ok := asHashes(append([][]byte{leaf, root}, hashes...))
	if !ok || index > sumdbSizeMax || size > sumdbSizeMax {
		return refused
	}
	return verdict(tlog.CheckRecord(all[2:], int64(size), all[1], int64(index), all[0]))
}

func treesVerdict(from, to uint64, fromRoot, toRoot []byte, hashes [][]byte) string {
	all, ok := asHashes(append([][]byte{fromRoot, toRoot}, hashes...))
	if !ok || from > sumdbSizeMax || to > sumdbSizeMax {
		return refused
	}
	return verdict(tlog.CheckTree(all[2:], int64(to), all[1], int64(from), all[0]))
}

func asHashes(all [][]byte) ([]tlog.Hash, bool) {
	hashes := make([]tlog.Hash, len(all))
	for i, b := range all {
		if len(b) != tlog.HashSize {
			return nil, false
		}
		hashes[i] = tlog.Hash(b)
	}
	return hashes, true
}

// tilePath parses the path of a tile or of an entry bundle. x/mod writes the height into its paths, and "data" for what
// tlog-tiles calls entries.
func tilePath(fields [][]byte) []opinion {
	path := string(fields[0])
	return []opinion{{"x/mod", sumdbTile(path)}, {"tessera", tesseraTile(path)}}
}

func sumdbTile(path string) string {
	rest, ok := strings.CutPrefix(path, "tile/")
	if !ok {
		return refused
	}
	if bundle, ok := strings.CutPrefix(rest, "entries/"); ok {
		rest = "data/" + bundle
	}
	tile, err := tlog.ParseTilePath("tile/8/" + rest)
	if err != nil {
		return refused
	}
	level := strconv.Itoa(tile.L)
	if tile.L == -1 {
		level = "entries"
	}
	return fmt.Sprintf("ok %s %d %d", level, tile.N, tile.W)
}

func tesseraTile(path string) string {
	rest, ok := strings.CutPrefix(path, "tile/")
	if !ok {
		return refused
	}
	first, index, ok := strings.Cut(rest, "/")
	if !ok {
		return refused
	}
	width := func(partial uint8) int {
		if partial == 0 {
			return layout.TileWidth
		}
		return int(partial)
	}
	if first == "entries" {
		n, p, err := layout.ParseTileIndexPartial(index)
		if err != nil {
			return refused
		}
		return fmt.Sprintf("ok entries %d %d", n, width(p))
	}
	l, n, p, err := layout.ParseTileLevelIndexPartial(first, index)
	if err != nil {
		return refused
	}
	return fmt.Sprintf("ok %d %d %d", l, n, width(p))
}
