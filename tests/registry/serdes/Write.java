import java.util.Base64;
import java.util.HashMap;
import java.util.Map;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.io.DecoderFactory;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeaders;
import org.apache.kafka.common.serialization.Serializer;

/** Has the serializer CLASS, of the properties NAME=VALUE, write a record: prints its value and headers in base64. */
public final class Write {
    public static void main(String[] arguments) throws Exception {
        Schema schema = new Schema.Parser().parse(arguments[1]);
        Object event = new GenericDatumReader<>(schema).read(null, DecoderFactory.get().jsonDecoder(schema, arguments[2]));
        Map<String, Object> properties = new HashMap<>();
        for (int at = 3; at < arguments.length; at++) {
            String[] property = arguments[at].split("=", 2);
            properties.put(property[0], property[1]);
        }
        @SuppressWarnings("unchecked")
        Serializer<Object> serializer = (Serializer<Object>) Class.forName(arguments[0]).getConstructor().newInstance();
        serializer.configure(properties, false);
        RecordHeaders headers = new RecordHeaders();
        byte[] value = serializer.serialize("segment", headers, event);
        System.out.println(Base64.getEncoder().encodeToString(value));
        for (Header header : headers) {
            System.out.println(header.key() + " " + Base64.getEncoder().encodeToString(header.value()));
        }
        System.exit(0);
    }
}
