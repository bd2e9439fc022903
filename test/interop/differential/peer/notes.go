package main

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/transparency-dev/formats/log"
	f_note "github.com/transparency-dev/formats/note"
	"github.com/transparency-dev/formats/proof"
	x_note "golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// note opens a note: its bytes, then the vkeys that are known. Signatures of type 1 are x/mod's to verify, cosignatures
// are those of formats.
func note(fields [][]byte) []opinion {
	known := make([]x_note.Verifier, 0, len(fields)-1)
	for _, vkey := range fields[1:] {
		known = append(known, verifierOf(string(vkey)))
	}
	return []opinion{{"x/mod", noteVerdict(fields[0], known)}}
}

func noteVerdict(msg []byte, known []x_note.Verifier) string {
	n, err := x_note.Open(msg, x_note.VerifierList(known...))
	var unverified *x_note.UnverifiedNoteError
	if errors.As(err, &unverified) {
		n = unverified.Note
	} else if err != nil {
		return refused
	}
	isCosigner := func(s x_note.Signature) bool {
		return slices.ContainsFunc(known, func(v x_note.Verifier) bool {
			_, timed := v.(timedVerifier)
			return timed && v.Name() == s.Name && v.KeyHash() == s.Hash
		})
	}
	var verified []string
	for _, s := range n.Sigs {
		line := fmt.Sprintf("%x:%08x", s.Name, s.Hash)
		if isCosigner(s) {
			line += fmt.Sprintf("@%d", binary.BigEndian.Uint64(signatureBytes(s)[4:]))
		}
		verified = append(verified, line)
	}
	return fmt.Sprintf("ok text %s verified %s others %s", digest([]byte(n.Text)), asSet(verified), unverifiedLines(n))
}

func unverifiedLines(n *x_note.Note) string {
	var lines []string
	for _, s := range n.UnverifiedSigs {
		lines = append(lines, fmt.Sprintf("%x:%08x:%s", s.Name, s.Hash, digest(signatureBytes(s))))
	}
	return asSet(lines)
}

func asSet(lines []string) string {
	slices.Sort(lines)
	return strings.Join(slices.Compact(lines), ",")
}

func signatureBytes(s x_note.Signature) []byte {
	b, err := base64.StdEncoding.DecodeString(s.Base64)
	if err != nil {
		panic(err)
	}
	return b
}

// A timedVerifier is one of cosignatures, which begin with a time.
type timedVerifier struct{ x_note.Verifier }

var verifiers = map[string]x_note.Verifier{}

// verifierOf makes a verifier from a vkey that is known to be good.
func verifierOf(vkey string) x_note.Verifier {
	if v, ok := verifiers[vkey]; ok {
		return v
	}
	v, err := x_note.NewVerifier(vkey)
	if err != nil {
		cosigner, err := f_note.NewVerifierForCosignatureV1(vkey)
		if err != nil {
			panic(err)
		}
		v = timedVerifier{cosigner}
	}
	verifiers[vkey] = v
	return v
}

// vkey parses a verifier key. x/mod knows type 1 only, and formats more types than we do.
func vkey(fields [][]byte) []opinion {
	render := func(v x_note.Verifier, err error) string {
		if err != nil {
			return refused
		}
		return fmt.Sprintf("ok %x %08x", v.Name(), v.KeyHash())
	}
	text := string(fields[0])
	return []opinion{
		{"x/mod", render(x_note.NewVerifier(text))},
		{"formats", render(f_note.NewVerifier(text))},
	}
}

// checkpoint parses the text of a checkpoint. For x/mod, which knows one origin only, that one is put into its first line.
func checkpoint(fields [][]byte) []opinion {
	return []opinion{
		{"formats", formatsCheckpoint(fields[0])},
		{"x/mod", treeVerdict(fields[0])},
	}
}

func formatsCheckpoint(text []byte) string {
	var c log.Checkpoint
	rest, err := c.Unmarshal(text)
	if err != nil {
		return refused
	}
	return "ok " + fieldsOf(c, rest)
}

func fieldsOf(c log.Checkpoint, rest []byte) string {
	return fmt.Sprintf("origin %s size %d root %s rest %s", digest([]byte(c.Origin)), c.Size, digest(c.Hash), digest(rest))
}

func treeVerdict(text []byte) string {
	origin, rest, found := bytes.Cut(text, []byte("\n"))
	if !found || len(origin) == 0 {
		return refused
	}
	tree, err := tlog.ParseTree(append([]byte("go.sum database tree\n"), rest...))
	if err != nil {
		return refused
	}
	extensions := bytes.SplitN(rest, []byte("\n"), 3)[2]
	return "ok " + fieldsOf(log.Checkpoint{Origin: string(origin), Size: uint64(tree.N), Hash: tree.Hash[:]}, extensions)
}

// tlogProof parses a proof and, as whoever verifies it has to, the checkpoint in it.
func tlogProof(fields [][]byte) []opinion {
	return []opinion{{"formats", proofVerdict(fields[0])}}
}

func proofVerdict(text []byte) string {
	var p proof.TLogProof
	if err := p.Unmarshal(text); err != nil {
		return refused
	}
	_, err := x_note.Open(p.Checkpoint, x_note.VerifierList())
	var unverified *x_note.UnverifiedNoteError
	if !errors.As(err, &unverified) {
		return refused
	}
	var c log.Checkpoint
	rest, err := c.Unmarshal([]byte(unverified.Note.Text))
	if err != nil || p.Index >= c.Size {
		return refused
	}
	hashes := make([][]byte, len(p.Hashes))
	for i, h := range p.Hashes {
		hashes[i] = h[:]
	}
	return fmt.Sprintf("ok index %d extra %s hashes %s %s others %s", p.Index, digest(p.ExtraData), digests(hashes), fieldsOf(c, rest), unverifiedLines(unverified.Note))
}

// signature verifies an Ed25519 signature: key, message, signature.
func signature(fields [][]byte) []opinion {
	if len(fields[0]) != ed25519.PublicKeySize || !ed25519.Verify(fields[0], fields[1], fields[2]) {
		return []opinion{{"crypto/ed25519", refused}}
	}
	return []opinion{{"crypto/ed25519", "ok"}}
}
