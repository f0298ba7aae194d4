"""What every HTTP server of this project shares, above ASGI and below its application.

Bodies with a limit (`bodies`), JSON errors (`responses`), listening sockets (`listening`), credentials
(`credentials`), the check of Host and Origin (`host_guard`), and uvicorn's HTTP/1.1 protocol with limits of time, size
and number (`protocol`, `connection_limiter`, `limits`, `refusals`). It is a package and no single module because the
protocol alone fills a file, and an app that only checks Host and Origin need not import uvicorn for it. Depends on
nothing else in the repository.
"""
