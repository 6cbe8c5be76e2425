import com.segment.analytics.Analytics;
import com.segment.analytics.messages.AliasMessage;
import com.segment.analytics.messages.GroupMessage;
import com.segment.analytics.messages.IdentifyMessage;
import com.segment.analytics.messages.MessageBuilder;
import com.segment.analytics.messages.PageMessage;
import com.segment.analytics.messages.ScreenMessage;
import com.segment.analytics.messages.TrackMessage;
import com.segment.analytics.Callback;
import com.segment.analytics.messages.Message;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.time.Instant;
import java.util.Arrays;
import java.util.Date;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.CountDownLatch;

/** The calls by Segment's library for Java, of which RudderStack has a fork. */
public final class Calls {
  public static void main(String[] arguments) throws Exception {
    Date moment = Date.from(Instant.parse("2026-03-04T04:06:07.890Z"));
    Map<String, Object> properties = new TreeMap<>();
    properties.put("whole", 42);
    properties.put("real", 42.0);
    properties.put("huge", 9007199254740993L);
    properties.put("flag", true);
    properties.put("nothing", null);
    properties.put("moment", moment);
    properties.put("nested", Map.of("a", Map.of("b", 1)));
    properties.put("list", Arrays.asList(1, 2.5));
    properties.put("things", List.of(Map.of("sku", "t")));
    properties.put("decimal", new BigDecimal("12.30"));
    properties.put("beyond", new BigInteger("88888888888888888888888"));
    Map<String, Object> traits = new TreeMap<>(
        Map.of("name", "Ada Byron", "email", "ada@tea.example", "plan", "pro", "logins", 42, "born", moment));
    List<MessageBuilder<?, ?>> messages = List.of(
        IdentifyMessage.builder().userId("u-1").traits(traits),
        TrackMessage.builder("Plain").userId("u-1"),
        TrackMessage.builder("Values").userId("u-1").properties(properties),
        TrackMessage.builder("Visitor").anonymousId("a-1"),
        TrackMessage.builder("Dated").userId("u-1").timestamp(moment),
        TrackMessage.builder("Opted Out").userId("u-1").enableIntegration("All", false),
        GroupMessage.builder("g-1").userId("u-1").traits(Map.of("name", "Tea")),
        PageMessage.builder("Cart").userId("u-1").properties(Map.of("url", "https://tea.example/cart")),
        ScreenMessage.builder("Cart").userId("u-1"),
        AliasMessage.builder("a-1").userId("u-1"));
    CountDownLatch left = new CountDownLatch(messages.size());
    Analytics analytics = Analytics.builder("key").endpoint(arguments[0]).callback(new Callback() {
      @Override public void success(Message message) {
        left.countDown();
      }

      @Override public void failure(Message message, Throwable error) {
        left.countDown();
      }
    }).build();
    messages.forEach(analytics::enqueue);
    analytics.flush();
    left.await();
    analytics.shutdown();
    System.exit(0);
  }
}
