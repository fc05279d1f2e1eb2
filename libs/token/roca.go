package token

import "math/big"

// rocaPrimes and rocaResidues know the fingerprint of RSA keys made by a faulty library in smart cards (CVE-2017-15361):
// modulo each small prime, such a modulus is a power of 65537. A sound one passes for such with a probability below 2⁻²⁷.
var rocaPrimes = []int64{11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157}

var rocaResidues = powersModulo(65537, rocaPrimes)

func powersModulo(base int64, primes []int64) []map[int64]bool {
	all := make([]map[int64]bool, len(primes))
	for i, p := range primes {
		all[i] = map[int64]bool{}
		for x := int64(1); !all[i][x]; x = x * base % p {
			all[i][x] = true
		}
	}
	return all
}

// weakROCA says whether a modulus bears the fingerprint: its private key can be computed from it.
func weakROCA(n *big.Int) bool {
	rest := new(big.Int)
	for i, p := range rocaPrimes {
		if !rocaResidues[i][rest.Mod(n, big.NewInt(p)).Int64()] {
			return false
		}
	}
	return true
}
