package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// object reads b as one JSON object and nothing else. A member that occurs
// twice, at any depth, is an error: encoding/json would keep the last, and a
// person reading the file may see the first.
func object(b []byte) (map[string]json.RawMessage, error) {
	if err := strictJSON(b); err != nil {
		return nil, err
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(b, &members); err != nil || members == nil {
		return nil, errors.New("want a JSON object")
	}
	return members, nil
}

// strictJSON reports what is wrong with b as one JSON value whose objects have
// no member twice.
func strictJSON(b []byte) error {
	d := json.NewDecoder(bytes.NewReader(b))
	if err := noDuplicates(d); err != nil {
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			return fmt.Errorf("line %d: not JSON: %w", 1+bytes.Count(b[:min(int(syntax.Offset), len(b))], []byte("\n")), err)
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return errors.New("not JSON: it ends too early")
		}
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("not JSON: something follows the value")
	}
	return nil
}

// noDuplicates reads one value from d.
func noDuplicates(d *json.Decoder) error {
	t, err := d.Token()
	if err != nil {
		return err
	}
	open, ok := t.(json.Delim)
	if !ok {
		return nil
	}
	seen := make(map[string]bool)
	for d.More() {
		if open == '{' {
			name, err := d.Token()
			if err != nil {
				return err
			}
			n, _ := name.(string)
			if seen[n] {
				return fmt.Errorf("member %q is there twice; keep one", n)
			}
			seen[n] = true
		}
		if err := noDuplicates(d); err != nil {
			return err
		}
	}
	_, err = d.Token()
	return err
}
