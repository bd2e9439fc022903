// receipt makes and verifies c2sp.org/tlog-proof files with the code of transparency-dev (formats, merkle) and of the Go
// checksum database.
//
//	receipt verify LOG-VKEY WITNESS-VKEY... < N.tlog-proof
//	receipt make URL LOG-VKEY INDEX > N.tlog-proof
//
// As in a receipt of Tallystick, the proof's extra data is the entry itself.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	stdlog "log"
	"os"
	"strconv"

	"github.com/transparency-dev/formats/log"
	cosig "github.com/transparency-dev/formats/note"
	tlogproof "github.com/transparency-dev/formats/proof"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
	"tallystick.invalid/interop/tlog/tiles"
)

func main() {
	stdlog.SetFlags(0)
	var err error
	switch args := os.Args[1:]; {
	case len(args) >= 2 && args[0] == "verify":
		err = verify(args[1], args[2:])
	case len(args) == 4 && args[0] == "make":
		err = makeProof(args[1], args[2], args[3])
	default:
		err = errors.New("expected verify LOG-VKEY WITNESS-VKEY... or make URL LOG-VKEY INDEX")
	}
	if err != nil {
		stdlog.Fatal(err)
	}
}

type verdict struct {
	Origin string `json:"origin"`
	Index  uint64 `json:"index"`
	Size   uint64 `json:"size"`
	// Cosigners whose signature verified, the log's own key included where it is a cosigner's, as vkeys.
	Cosigners []string `json:"cosigners"`
}

func verify(logVkey string, cosignerVkeys []string) error {
	text, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	var parsed tlogproof.TLogProof
	if err := parsed.Unmarshal(text); err != nil {
		return err
	}
	if !bytes.Equal(parsed.Marshal(), text) {
		return errors.New("the proof is not written as Go writes it")
	}
	logVerifier, err := note.NewVerifier(logVkey)
	if err != nil {
		return err
	}
	head, _, _, err := log.ParseCheckpoint(parsed.Checkpoint, logVerifier.Name(), logVerifier)
	if err != nil {
		return err
	}
	if err := verifyInclusion(parsed, head); err != nil {
		return err
	}
	result := verdict{Origin: head.Origin, Index: parsed.Index, Size: head.Size, Cosigners: []string{}}
	for _, vkey := range cosignerVkeys {
		verifier, err := cosig.NewVerifierForCosignatureV1(vkey)
		if err != nil {
			return err
		}
		// Without a signature of this key the note does not open; with a wrong one neither.
		_, err = note.Open(parsed.Checkpoint, note.VerifierList(verifier))
		if unverified := (*note.UnverifiedNoteError)(nil); errors.As(err, &unverified) {
			continue
		}
		if err != nil {
			return err
		}
		result.Cosigners = append(result.Cosigners, vkey)
	}
	return json.NewEncoder(os.Stdout).Encode(result)
}

// verifyInclusion asks two implementations, which have to agree.
func verifyInclusion(parsed tlogproof.TLogProof, head *log.Checkpoint) error {
	leaf := rfc6962.DefaultHasher.HashLeaf(parsed.ExtraData)
	hashes := make([][]byte, len(parsed.Hashes))
	record := make(tlog.RecordProof, len(parsed.Hashes))
	for at, hash := range parsed.Hashes {
		hashes[at] = hash[:]
		record[at] = hash
	}
	merkle := proof.VerifyInclusion(rfc6962.DefaultHasher, parsed.Index, head.Size, leaf, hashes, head.Hash)
	sumdb := tlog.CheckRecord(record, int64(head.Size), tlog.Hash(head.Hash), int64(parsed.Index), tlog.Hash(leaf))
	if (merkle == nil) != (sumdb == nil) {
		return fmt.Errorf("merkle and tlog disagree: %v, %v", merkle, sumdb)
	}
	return errors.Join(merkle, sumdb)
}

func makeProof(url, vkey, decimal string) error {
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return err
	}
	index, err := strconv.ParseInt(decimal, 10, 64)
	if err != nil {
		return err
	}
	source := tiles.Source{URL: url}
	checkpoint, err := source.Get("/checkpoint")
	if err != nil {
		return err
	}
	head, _, _, err := log.ParseCheckpoint(checkpoint, verifier.Name(), verifier)
	if err != nil {
		return err
	}
	size := int64(head.Size)
	first := index / tiles.Width * tiles.Width
	entries, err := source.Bundle(index/tiles.Width, min(tiles.Width, size-first))
	if err != nil {
		return err
	}
	hashes := source.Hashes(tlog.Tree{N: size, Hash: tlog.Hash(head.Hash)})
	record, err := tlog.ProveRecord(size, index, hashes)
	if err != nil {
		return err
	}
	made := tlogproof.TLogProof{Index: uint64(index), Checkpoint: checkpoint, ExtraData: entries[index-first]}
	for _, hash := range record {
		made.Hashes = append(made.Hashes, hash)
	}
	_, err = os.Stdout.Write(made.Marshal())
	return err
}
