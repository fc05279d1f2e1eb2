package token

// spread turns an id into a number whose low bits differ between ids, to share out locks and lists by. It reads the end
// only, where ids of every kind are random. Ids are made by the auth service, not by strangers; and whoever could choose
// them would win nothing but a lock that is shared more often.
func spread(id string) uint64 {
	const oddAndIrregular = 0x9E3779B97F4A7C15
	var x uint64
	if n := len(id); n >= 8 {
		t := id[n-8:]
		x = uint64(t[0]) | uint64(t[1])<<8 | uint64(t[2])<<16 | uint64(t[3])<<24 |
			uint64(t[4])<<32 | uint64(t[5])<<40 | uint64(t[6])<<48 | uint64(t[7])<<56
	} else {
		for i := range n {
			x = x<<8 | uint64(id[i])
		}
	}
	return x * oddAndIrregular >> 40
}
