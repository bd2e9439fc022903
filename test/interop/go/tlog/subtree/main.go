// subtree verifies the cosignature of a subtree with the code of transparency-dev.
//
//	subtree VKEY ORIGIN START END HASH LINE
//
// VKEY is an ML-DSA-44 key, HASH in base64, LINE the signature line of a note. It ends with 0 where the line holds.
package main

import (
	"encoding/base64"
	"errors"
	"log"
	"os"
	"strconv"
	"strings"

	"github.com/transparency-dev/formats/note"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) != 7 {
		log.Fatal("expected VKEY ORIGIN START END HASH LINE")
	}
	if err := verify(os.Args[1], os.Args[2], os.Args[3], os.Args[4], os.Args[5], os.Args[6]); err != nil {
		log.Fatal(err)
	}
}

func verify(vkey, origin, start, end, hash, line string) error {
	verifier, err := note.NewMLDSAVerifier(vkey)
	if err != nil {
		return err
	}
	first, err := strconv.ParseUint(start, 10, 64)
	if err != nil {
		return err
	}
	behind, err := strconv.ParseUint(end, 10, 64)
	if err != nil {
		return err
	}
	root, err := base64.StdEncoding.DecodeString(hash)
	if err != nil {
		return err
	}
	encoded, ok := strings.CutPrefix(line, "— "+verifier.Name()+" ")
	if !ok {
		return errors.New("the line is not of this key's name")
	}
	signature, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return err
	}
	// The key's ID, then what was signed at which time.
	if !verifier.VerifySubtree(0, origin, first, behind, root, signature[4:]) {
		return errors.New("the signature does not hold")
	}
	return nil
}
