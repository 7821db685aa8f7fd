//! The HTTP edge: listeners, TLS, routes, login, signals, the admin socket.
