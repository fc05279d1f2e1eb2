package upstream

// state is how a party leaves the connection.
type state int

const (
	good state = iota // for another request, if the other party agrees
	used              // for no other, but the other party may go on
	dead              // the other party ends too
)

// leave is called once by each party. The last one gives the connection back.
func (x *exchange) leave(s state) {
	if s != good {
		x.spent.Store(true)
	}
	if s == dead {
		x.conn.close()
	}
	if x.parties.Add(-1) > 0 {
		return
	}
	// A context that has ended may be severing the connection in this very moment.
	if !x.release() || x.spent.Load() {
		x.conn.close()
		return
	}
	x.conn.pool.put(x.conn)
}

// leaveAnswer is leave for the party that reads.
func (x *exchange) leaveAnswer(s state) {
	if s == dead {
		x.conn.close() // before the memory it reads into is another's
	}
	x.conn.disarm()
	x.leave(s)
}

// finish is the end of an answer that was read as a whole. A service that has answered before it has got the whole request
// gets no more of it; the last piece may still be on its way, and then the one who sends it has the last word.
func (x *exchange) finish() {
	switch {
	case x.conn.in.Buffered() > 0: // an answer that nobody asked for
		x.leaveAnswer(dead)
	case x.uploading && !x.drained.Load():
		x.leaveAnswer(dead)
	default:
		x.leaveAnswer(good)
	}
}
