// Package tiles reads a log by c2sp.org/tlog-tiles for the code of the Go checksum database (golang.org/x/mod/sumdb).
package tiles

import (
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const (
	height = 8
	// Width is that of a full tile.
	Width = int64(1) << height
)

// Source is a served log.
type Source struct {
	URL string // Without a slash at the end.
}

// Checkpoint gives the newest head of a log whose origin is the name of its key.
func (s Source) Checkpoint(verifier note.Verifier) (*note.Note, tlog.Tree, error) {
	text, err := s.Get("/checkpoint")
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

// Hashes gives the hashes of a tree from the log's tiles.
func (s Source) Hashes(tree tlog.Tree) tlog.HashReader {
	return tlog.TileHashReader(tree, &reader{source: s, saved: map[tlog.Tile][]byte{}})
}

// Bundle gives the entries of a bundle: each is a length in two bytes and as many bytes.
func (s Source) Bundle(index, count int64) ([][]byte, error) {
	bundle, err := s.Get("/tile/entries/" + suffix(tlog.Tile{H: height, N: index, W: int(count)}))
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

// Get gives what is at a path.
func (s Source) Get(path string) ([]byte, error) {
	response, err := http.Get(s.URL + path)
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

// reader is a tlog.TileReader.
type reader struct {
	source Source
	saved  map[tlog.Tile][]byte
}

func (*reader) Height() int { return height }

func (r *reader) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	data := make([][]byte, len(wanted))
	for at, tile := range wanted {
		if data[at] = r.saved[tile]; data[at] != nil {
			continue
		}
		bytes, err := r.source.Get(fmt.Sprintf("/tile/%d/%s", tile.L, suffix(tile)))
		if err != nil {
			return nil, err
		}
		data[at] = bytes
	}
	return data, nil
}

// SaveTiles keeps tiles for the next calls.
func (r *reader) SaveTiles(verified []tlog.Tile, data [][]byte) {
	for at, tile := range verified {
		r.saved[tile] = data[at]
	}
}

// suffix is what a path says of index and width. x/mod puts the height and the level before it, tlog-tiles the level.
func suffix(tile tlog.Tile) string {
	tile.L = 0
	return strings.TrimPrefix(tile.Path(), fmt.Sprintf("tile/%d/0/", tile.H))
}
