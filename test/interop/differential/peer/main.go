// Command peer says what Go's implementations make of inputs: it reads frames from standard input and answers each with
// one line, until the input ends.
//
// A frame is a u32, its subject and its number of fields (one byte each), and the fields, each a u32 and as many bytes.
// The first u32 counts what follows it. All numbers are big-endian. A line holds one opinion or more, with a tab between
// them: the name of an implementation, "=", and "refused", or "ok" and what was read.
package main

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"log"
	"os"
	"strings"
)

const frameBytesMax = 1 << 24

// An opinion is what one implementation says.
type opinion struct{ of, verdict string }

var subjects = map[byte]func(fields [][]byte) []opinion{
	'n': note,
	'v': vkey,
	'c': checkpoint,
	'p': policy,
	'q': quorumMet,
	't': tlogProof,
	'i': inclusion,
	'k': consistency,
	'l': tilePath,
	'e': signature,
}

func main() {
	in := bufio.NewReaderSize(os.Stdin, 1<<20)
	out := bufio.NewWriterSize(os.Stdout, 1<<20)
	for {
		frame, err := readFrame(in)
		if err == io.EOF {
			break
		}
		if err != nil {
			log.Fatal(err)
		}
		fmt.Fprintln(out, answer(frame))
		// Whoever asks many at once gets the answers at once.
		if in.Buffered() < 4 {
			if err := out.Flush(); err != nil {
				log.Fatal(err)
			}
		}
	}
	if err := out.Flush(); err != nil {
		log.Fatal(err)
	}
}

func readFrame(in io.Reader) ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(in, size[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(size[:])
	if n < 2 || n > frameBytesMax {
		return nil, fmt.Errorf("frame of %d bytes", n)
	}
	frame := make([]byte, n)
	if _, err := io.ReadFull(in, frame); err != nil {
		return nil, fmt.Errorf("frame cut off: %w", err)
	}
	return frame, nil
}

func answer(frame []byte) string {
	subject, ok := subjects[frame[0]]
	if !ok {
		log.Fatalf("no subject %q", frame[0])
	}
	fields := make([][]byte, frame[1])
	rest := frame[2:]
	for i := range fields {
		if len(rest) < 4 || uint64(len(rest)-4) < uint64(binary.BigEndian.Uint32(rest)) {
			log.Fatalf("field %d of subject %q is cut off", i, frame[0])
		}
		n := 4 + binary.BigEndian.Uint32(rest)
		fields[i], rest = rest[4:n:n], rest[n:]
	}
	opinions := ask(subject, fields)
	parts := make([]string, len(opinions))
	for i, o := range opinions {
		parts[i] = o.of + "=" + o.verdict
	}
	return strings.Join(parts, "\t")
}

// ask turns a panic into an answer: it is a finding, too.
func ask(subject func([][]byte) []opinion, fields [][]byte) (opinions []opinion) {
	defer func() {
		if r := recover(); r != nil {
			opinions = []opinion{{"go", "panic " + digest([]byte(fmt.Sprint(r)))}}
		}
	}()
	return subject(fields)
}

const refused = "refused"

// digest stands for bytes in an answer.
func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8])
}

func digests(all [][]byte) string {
	parts := make([]string, len(all))
	for i, b := range all {
		parts[i] = digest(b)
	}
	return strings.Join(parts, ",")
}
