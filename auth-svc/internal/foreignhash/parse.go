package foreignhash

import (
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
)

var b64 = base64.RawStdEncoding.Strict()

var (
	errForm   = errors.New("is not a hash in a form that is known here")
	errBcrypt = errors.New("is not a whole bcrypt hash")
)

// bcryptText is salt and key as bcrypt writes them. $2x$ is left out on purpose: it marks hashes of an implementation with
// a fault, which ours does not have.
var bcryptText = regexp.MustCompile(`^\$2[aby]\$([0-9]{2})\$[./A-Za-z0-9]{53}$`)

// Parse reads the one form that String writes. Anything else, and what is past the caps, is an error that does not tell
// the hash.
func Parse(text string) (Hash, error) {
	h, err := parseHash(text)
	if err != nil {
		return Hash{}, err
	}
	if h.String() != text {
		return Hash{}, errForm
	}
	return h, nil
}

// parseHash also takes what means the same.
func parseHash(text string) (Hash, error) {
	if len(text) > maxText {
		return Hash{}, fmt.Errorf("is longer than %d bytes", maxText)
	}
	if strings.HasPrefix(text, "$2") {
		return parseBcrypt(text)
	}
	parts := strings.Split(text, "$")
	if len(parts) < 5 || parts[0] != "" {
		return parseFramework(text)
	}
	salt, err1 := adaptedBase64(parts[len(parts)-2])
	key, err2 := adaptedBase64(parts[len(parts)-1])
	if err1 != nil || err2 != nil {
		return Hash{}, errors.New("has a salt or a hash that is no base64")
	}
	w, err := parseCost(parts[1], parts[2:len(parts)-2])
	if err != nil {
		return Hash{}, err
	}
	return made(w, salt, key)
}

func parseBcrypt(text string) (Hash, error) {
	m := bcryptText.FindStringSubmatch(text)
	if m == nil {
		return Hash{}, errBcrypt
	}
	cost, _ := strconv.ParseInt(m[1], 10, 64) // two digits
	return Hash{work: bcryptCost(cost), bcrypt: text}.finish()
}

// made puts a hash together and leaves of an overlong key what is worth looking at.
func made(w work, salt, key []byte) (Hash, error) {
	if p, ok := w.(pbkdf2Cost); ok {
		key = p.keep(key)
	}
	if _, ok := w.(scryptCost); ok {
		key = key[:min(len(key), maxKeyBytes)] // the end of scrypt is one round of PBKDF2: its blocks stand alone too
	}
	return Hash{work: w, salt: salt, key: key}.finish()
}

// parseCost reads what stands between the name and the salt.
func parseCost(name string, fields []string) (work, error) {
	switch name {
	case "argon2id", "argon2i":
		if len(fields) != 2 || fields[0] != fmt.Sprintf("v=%d", argon2.Version) {
			return nil, fmt.Errorf("argon2 must be of version %d", argon2.Version)
		}
		n, err := numbers(fields[1], "m", "t", "p")
		return argonCost{name == "argon2id", n[0], n[1], n[2]}, err
	case "scrypt":
		if len(fields) != 1 {
			return nil, errForm
		}
		n, err := numbers(fields[0], "ln", "r", "p")
		return scryptCost{n[0], n[1], n[2]}, err
	case "pbkdf2", "pbkdf2-sha1", "pbkdf2-sha256", "pbkdf2-sha512":
		if len(fields) != 1 {
			return nil, errForm
		}
		_, digest, _ := strings.Cut(name, "-")
		if digest == "" {
			digest = "sha1"
		}
		text, _, _ := strings.Cut(strings.TrimPrefix(fields[0], "i="), ",l=") // PHC names the length too; the key has it
		n, err := number(text)
		return pbkdf2Cost{digest, n}, err
	default:
		return nil, errForm
	}
}

// parseFramework reads what two common frameworks write: name_digest$iterations$salt$key with the salt as text and the
// key in base64, and name:parameters$salt$key with the key in hex.
func parseFramework(text string) (Hash, error) {
	parts := strings.Split(text, "$")
	if digest, ok := strings.CutPrefix(parts[0], "pbkdf2_"); ok && len(parts) == 4 {
		n, err := number(parts[1])
		key, err2 := base64.StdEncoding.DecodeString(parts[3])
		if err != nil || err2 != nil {
			return Hash{}, errForm
		}
		return made(pbkdf2Cost{digest, n}, []byte(parts[2]), key)
	}
	method := strings.Split(parts[0], ":")
	if len(parts) != 3 {
		return Hash{}, errForm
	}
	key, err := decode(parts[2], "hex")
	if err != nil {
		return Hash{}, err
	}
	switch {
	case method[0] == "pbkdf2" && len(method) == 3:
		n, err := number(method[2])
		if err != nil {
			return Hash{}, err
		}
		return made(pbkdf2Cost{method[1], n}, []byte(parts[1]), key)
	case method[0] == "scrypt" && len(method) == 4:
		n, err := numbers("N="+method[1]+",r="+method[2]+",p="+method[3], "N", "r", "p")
		if err != nil {
			return Hash{}, err
		}
		return made(scryptCost{log2(n[0]), n[1], n[2]}, []byte(parts[1]), key)
	default:
		return Hash{}, errForm
	}
}

// numbers reads a=1,b=2,c=3 in just that order.
func numbers(text string, names ...string) (n [3]int64, err error) {
	parts := strings.Split(text, ",")
	if len(parts) != len(names) {
		return n, errForm
	}
	for i, name := range names {
		value, ok := strings.CutPrefix(parts[i], name+"=")
		if !ok {
			return n, errForm
		}
		if n[i], err = number(value); err != nil {
			return n, err
		}
	}
	return n, nil
}

// number reads digits only: no sign, no blank, and not more than a parameter can need.
func number(text string) (int64, error) {
	n, err := strconv.ParseUint(text, 10, 40)
	if err != nil {
		return 0, errors.New("has a parameter that is no number in range")
	}
	return int64(n), nil
}

// adaptedBase64 also takes the dots that some write for plus signs.
func adaptedBase64(text string) ([]byte, error) {
	return b64.DecodeString(strings.ReplaceAll(text, ".", "+"))
}
