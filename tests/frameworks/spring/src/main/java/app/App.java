package app;

import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.boot.web.servlet.context.ServletWebServerInitializedEvent;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.context.annotation.Profile;
import org.springframework.context.event.EventListener;
import org.springframework.http.HttpStatus;
import org.springframework.http.ResponseEntity;
import org.springframework.security.authentication.UsernamePasswordAuthenticationToken;
import org.springframework.security.config.annotation.web.builders.HttpSecurity;
import org.springframework.security.core.Authentication;
import org.springframework.security.core.context.SecurityContextHolder;
import org.springframework.security.core.userdetails.User;
import org.springframework.security.web.SecurityFilterChain;
import org.springframework.security.web.authentication.HttpStatusEntryPoint;
import org.springframework.security.web.context.HttpSessionSecurityContextRepository;
import org.springframework.session.jdbc.config.annotation.web.http.EnableJdbcHttpSession;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.PathVariable;
import org.springframework.web.bind.annotation.PostMapping;
import org.springframework.web.bind.annotation.RequestBody;
import org.springframework.web.bind.annotation.RestController;

/** A real Spring Boot application: Spring Security on Spring Session. The profile says in which store. */
@SpringBootApplication
@RestController
public class App {

    /** Requests that wait, by name. */
    private final Map<String, CountDownLatch> held = new ConcurrentHashMap<>();

    public static void main(String[] arguments) {
        SpringApplication.run(App.class, arguments);
    }

    /** The only line on stdout. */
    @EventListener
    void listening(ServletWebServerInitializedEvent event) {
        System.out.println("listening " + event.getWebServer().getPort());
    }

    @Bean
    SecurityFilterChain security(HttpSecurity http) throws Exception {
        return http.csrf(csrf -> csrf.disable())
                .authorizeHttpRequests(requests -> requests
                        .requestMatchers("/me", "/hold/*").authenticated()
                        .anyRequest().permitAll())
                .exceptionHandling(handling -> handling
                        .authenticationEntryPoint(new HttpStatusEntryPoint(HttpStatus.UNAUTHORIZED)))
                .build();
    }

    record Login(String user) {}

    /** Anybody may sign in; what is kept is what a login form of Spring Security keeps. */
    @PostMapping("/login")
    Map<String, String> login(@RequestBody Login login, HttpServletRequest request, HttpServletResponse response) {
        var user = User.withUsername(login.user()).password("").authorities("ROLE_USER").build();
        var context = SecurityContextHolder.createEmptyContext();
        context.setAuthentication(
                UsernamePasswordAuthenticationToken.authenticated(user, null, user.getAuthorities()));
        if (request.getSession(false) != null) {
            request.changeSessionId();
        }
        new HttpSessionSecurityContextRepository().saveContext(context, request, response);
        return Map.of("user", login.user());
    }

    @GetMapping("/me")
    Map<String, String> me(Authentication authentication) {
        return Map.of("user", authentication.getName());
    }

    @GetMapping("/hold/{name}")
    Map<String, String> hold(@PathVariable String name, Authentication authentication, HttpServletRequest request)
            throws InterruptedException {
        request.getSession().setAttribute("held", name);
        var latch = new CountDownLatch(1);
        held.put(name, latch);
        try {
            if (!latch.await(2, TimeUnit.MINUTES)) {
                throw new IllegalStateException("nobody released the request");
            }
        } finally {
            held.remove(name);
        }
        return Map.of("user", authentication.getName());
    }

    @GetMapping("/held/{name}")
    Map<String, Boolean> held(@PathVariable String name) {
        return Map.of("held", held.containsKey(name));
    }

    @PostMapping("/release/{name}")
    ResponseEntity<Void> release(@PathVariable String name) {
        var latch = held.get(name);
        if (latch == null) {
            return ResponseEntity.notFound().build();
        }
        latch.countDown();
        return ResponseEntity.noContent().build();
    }

    @Configuration
    @Profile("jdbc")
    @EnableJdbcHttpSession
    static class Jdbc {}
}
